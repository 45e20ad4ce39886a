//! Sessions of one key: logged in, with the key found.

use std::sync::{Arc, Mutex, PoisonError};

use cryptoki::error::{Error, RvError};
use cryptoki::object::{Attribute, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::types::AuthPin;

use crate::{Access, TokenError};

/// Opened as needed and kept: as many as there ever were operations at a time.
pub(crate) struct Sessions {
    access: Arc<Access>,
    key: String,
    idle: Mutex<Vec<Open>>,
}

/// A session in which the key was found.
struct Open {
    session: Session,
    handle: ObjectHandle,
}

impl Sessions {
    pub(crate) fn new(access: Arc<Access>, key: &str) -> Result<Self, TokenError> {
        let sessions = Self { access, key: key.to_owned(), idle: Mutex::default() };
        let first = sessions.open()?;
        sessions.keep(first);
        Ok(sessions)
    }

    /// Does something with the key. A session that failed is not used again; if it was an old one, a new one is tried: the token
    /// may have been away.
    pub(crate) fn with_key<T>(
        &self,
        operate: impl Fn(&Session, ObjectHandle) -> Result<T, Error>,
    ) -> Result<T, TokenError> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        if let Some(open) = idle {
            match operate(&open.session, open.handle) {
                Ok(done) => {
                    self.keep(open);
                    return Ok(done);
                }
                // The session still works, so it is about what was to be done.
                Err(error) if open.session.get_session_info().is_ok() => {
                    self.keep(open);
                    return Err(error.into());
                }
                Err(error) => tracing::warn!(%error, key = self.key, "a session of the token failed; trying a new one"),
            }
        }
        let open = self.open()?;
        let done = operate(&open.session, open.handle)?;
        self.keep(open);
        Ok(done)
    }

    fn open(&self) -> Result<Open, TokenError> {
        let session = self.access.open()?;
        let template = [Attribute::Class(ObjectClass::PRIVATE_KEY), Attribute::Label(self.key.clone().into_bytes())];
        match session.find_objects(&template)?.as_slice() {
            [handle] => Ok(Open { handle: *handle, session }),
            others => Err(TokenError::NoKey { label: self.key.clone(), found: others.len() }),
        }
    }

    fn keep(&self, open: Open) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(open);
    }
}

impl Access {
    /// A session, logged in.
    pub(crate) fn open(&self) -> Result<Session, TokenError> {
        let mut present = Vec::new();
        for slot in self.module.get_slots_with_token()? {
            // A reader whose card is just being pulled out.
            let Ok(about) = self.module.get_token_info(slot) else { continue };
            let label = about.label().trim_end();
            if label != self.label {
                present.push(label.to_owned());
                continue;
            }
            let session = self.module.open_ro_session(slot)?;
            let pin = AuthPin::new(self.pin.0.as_str().into());
            return match session.login(UserType::User, Some(&pin)) {
                // Whoever logs in does so for all sessions of the process.
                Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => Ok(session),
                Err(error) => Err(TokenError::Pin(error)),
            };
        }
        Err(TokenError::Missing { label: self.label.clone(), present })
    }
}
