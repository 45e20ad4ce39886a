//! What was found, in both languages.

/// Something said in both languages.
#[derive(Debug, Clone)]
pub(super) struct Text {
    pub(super) de: String,
    pub(super) en: String,
}

impl Text {
    pub(super) fn in_(&self, language: Language) -> &str {
        match language {
            Language::German => &self.de,
            Language::English => &self.en,
        }
    }

    /// Something that is the same in every language: names, paths, what other software said.
    pub(super) fn verbatim(text: impl Into<String>) -> Self {
        let text = text.into();
        Self { de: text.clone(), en: text }
    }
}

/// The same in German and in English.
macro_rules! text {
    ($de:literal, $en:literal) => {
        $crate::commands::doctor::finding::Text { de: format!($de), en: format!($en) }
    };
}
pub(super) use text;

/// The language of the report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Language {
    German,
    English,
}

impl Language {
    /// As chosen, else as the environment says.
    pub(super) fn of(chosen: Option<&str>) -> Self {
        let locale = || {
            ["LC_ALL", "LC_MESSAGES", "LANG"]
                .into_iter()
                .find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
        };
        let wanted = chosen.map(str::to_owned).or_else(locale);
        if wanted.is_some_and(|wanted| wanted.starts_with("de")) { Self::German } else { Self::English }
    }
}

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Level {
    Ok,
    /// It works, but should be looked at.
    Warning,
    /// It does not work, or will not for long.
    Problem,
}

impl Level {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Problem => "problem",
        }
    }
}

/// One finding.
#[derive(Debug, Clone)]
pub(super) struct Finding {
    /// What was looked at: a stable word for machines.
    pub(super) check: &'static str,
    pub(super) level: Level,
    pub(super) what: Text,
    pub(super) cause: Option<Text>,
    pub(super) remedy: Option<Text>,
}

impl Finding {
    pub(super) fn ok(check: &'static str, what: Text) -> Self {
        Self { check, level: Level::Ok, what, cause: None, remedy: None }
    }

    pub(super) fn warning(check: &'static str, what: Text) -> Self {
        Self { level: Level::Warning, ..Self::ok(check, what) }
    }

    pub(super) fn problem(check: &'static str, what: Text) -> Self {
        Self { level: Level::Problem, ..Self::ok(check, what) }
    }

    pub(super) fn cause(self, cause: Text) -> Self {
        Self { cause: Some(cause), ..self }
    }

    /// The cause as other software put it.
    pub(super) fn because(self, cause: impl ToString) -> Self {
        self.cause(Text::verbatim(cause.to_string()))
    }

    pub(super) fn remedy(self, remedy: Text) -> Self {
        Self { remedy: Some(remedy), ..self }
    }

    /// Adds what is known more precisely, in English only.
    pub(super) fn hint(mut self, hint: Option<String>) -> Self {
        if let (Some(remedy), Some(hint)) = (&mut self.remedy, hint) {
            remedy.de.push_str(&format!(" ({hint})"));
            remedy.en.push_str(&format!(" ({hint})"));
        }
        self
    }
}

/// An error with its causes.
pub(super) fn chain(error: &anyhow::Error) -> String {
    let mut words: Vec<String> = Vec::new();
    for cause in error.chain().map(ToString::to_string) {
        if words.last() != Some(&cause) {
            words.push(cause);
        }
    }
    words.join(": ")
}
