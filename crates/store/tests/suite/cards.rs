//! Selecting cards, also against a model that knows no indexes.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use rohrpost_store::{Card, CardPage, CardRole, CardRule, CardSelection};

use super::*;

fn names(page: &CardPage) -> Vec<&str> {
    page.cards.iter().map(|card| card.message_id.as_str()).collect()
}

fn rule(selection: CardSelection<'_>, role: CardRole, no_reception: bool) -> CardRule<'_> {
    CardRule { selection, role, no_reception }
}

pub(crate) fn only_participants_see_a_card(open: Open) {
    let fixture = Fixture::new(open);
    accept(&fixture, "a", 0);
    let mut anonymous = delivery("b", 1);
    anonymous.originator = None;
    fixture.store().accept(anonymous).unwrap();
    let mut own = delivery("c", 2);
    own.addressee = person("alice");
    fixture.store().accept(own).unwrap();
    let ids = [id("c"), id("x"), id("a"), id("b"), id("a")];
    for (who, expected) in [("alice", vec!["a", "c"]), ("bob", vec!["a", "b"]), ("carol", vec![])] {
        for selection in [CardSelection::All, CardSelection::Ids(&ids), CardSelection::AcceptedSince(START)] {
            let page = fixture.store().cards(&person(who), &rule(selection, CardRole::Any, false), 10).unwrap();
            assert_eq!(names(&page), expected, "{who}");
            assert!(!page.more);
        }
    }
    let of_role = |role| {
        let page = fixture.store().cards(&person("alice"), &rule(CardSelection::All, role, false), 10).unwrap();
        names(&page).join(",")
    };
    assert_eq!(of_role(CardRole::Addressee), "c");
    assert_eq!(of_role(CardRole::Originator), "a,c");
    assert_eq!(fixture.store().cards(&person("bob"), &CardRule::ALL, 10).unwrap().cards.len(), 2);
}

pub(crate) fn a_page_says_whether_there_is_more(open: Open) {
    let fixture = Fixture::new(open);
    for number in 0..5 {
        accept(&fixture, &format!("m{number}"), number);
    }
    for (limit, count, more) in [(0, 0, true), (1, 1, true), (4, 4, true), (5, 5, false), (6, 5, false)] {
        let page = fixture.store().cards(&person("bob"), &CardRule::ALL, limit).unwrap();
        assert_eq!((page.cards.len(), page.more), (count, more), "limit {limit}");
        let all: Vec<_> = (0..5).map(|number| id(format!("m{number}"))).collect();
        let by_id = rule(CardSelection::Ids(&all), CardRole::Any, false);
        assert_eq!(fixture.store().cards(&person("bob"), &by_id, limit).unwrap(), page);
    }
    assert!(fixture.store().cards(&person("bob"), &CardRule::ALL, usize::MAX).is_ok());
}

pub(crate) fn a_page_is_bounded_whatever_the_cards_hold(open: Open) {
    let fixture = Fixture::new(open);
    let heavy = |name: &str, seconds, megabytes: usize| {
        let mut delivery = delivery(name, seconds);
        delivery.inspections = "x".repeat(megabytes << 20);
        fixture.store().accept(delivery).unwrap();
    };
    heavy("huge", 0, 6);
    (1..8).for_each(|number| heavy(&format!("m{number}"), number, 1));
    let all: Vec<_> = (1..8).map(|number| id(format!("m{number}"))).collect();
    for (selection, expected) in [
        (CardSelection::All, vec!["huge"]),
        (CardSelection::AcceptedSince(at(1)), vec!["m1", "m2", "m3"]),
        (CardSelection::Ids(&all), vec!["m1", "m2", "m3"]),
        (CardSelection::ModifiedSince(at(6)), vec!["m6", "m7"]),
    ] {
        let page = fixture.store().cards(&person("bob"), &rule(selection, CardRole::Any, false), 10).unwrap();
        assert_eq!((names(&page), page.more), (expected.clone(), expected.len() != 2));
    }
    // Asking for one card many times costs as much as asking once.
    let peak = || {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap().to_owned();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    };
    let before = peak();
    let repeated = vec![id("m1"); 500];
    let by_id = rule(CardSelection::Ids(&repeated), CardRole::Any, false);
    assert_eq!(names(&fixture.store().cards(&person("bob"), &by_id, 10).unwrap()), ["m1"]);
    assert!(peak() - before < 200 << 20, "{} bytes", peak() - before);
}

pub(crate) fn since_the_last_change(open: Open) {
    let fixture = Fixture::new(open);
    for number in 0..4 {
        accept(&fixture, &format!("m{number}"), number);
    }
    fixture.store().mark_forwarded(&id("m0"), at(10)).unwrap();
    fixture.store().mark_received(&[id("m1")], at(20)).unwrap();
    let since = |seconds, no_reception| {
        let rule = rule(CardSelection::ModifiedSince(at(seconds)), CardRole::Any, no_reception);
        names(&fixture.store().cards(&person("bob"), &rule, 10).unwrap()).join(",")
    };
    assert_eq!(since(3, false), "m3,m0,m1", "in the order of the last change");
    assert_eq!(since(10, false), "m0,m1");
    assert_eq!(since(11, false), "m1");
    assert_eq!(since(21, false), "");
    assert_eq!(since(0, true), "m2,m3,m0");
}

/// One step of a random life.
#[derive(Debug, Clone)]
enum Step {
    Accept { from: Option<usize>, to: usize, at: i64 },
    Forward { message: usize, at: i64 },
    Receive { messages: Vec<usize>, at: i64 },
}

#[derive(Debug, Clone)]
struct Question {
    who: usize,
    selection: u8,
    since: i64,
    ids: Vec<usize>,
    role: u8,
    no_reception: bool,
    limit: usize,
}

const PEOPLE: [&str; 4] = ["alice", "bob", "carol", "dave"];

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (prop::option::of(0..3_usize), 0..3_usize, 0..40_i64).prop_map(|(from, to, at)| Step::Accept { from, to, at }),
        1 => (0..30_usize, 0..60_i64).prop_map(|(message, at)| Step::Forward { message, at }),
        1 => (prop::collection::vec(0..30_usize, 0..3), 0..60_i64).prop_map(|(messages, at)| Step::Receive { messages, at }),
    ]
}

fn question() -> impl Strategy<Value = Question> {
    let ids = prop::collection::vec(0..30_usize, 0..6);
    (0..4_usize, 0..4_u8, 0..60_i64, ids, 0..3_u8, any::<bool>(), 0..12_usize).prop_map(
        |(who, selection, since, ids, role, no_reception, limit)| Question {
            who,
            selection,
            since,
            ids,
            role,
            no_reception,
            limit,
        },
    )
}

/// Cards in the order of acceptance, and nothing clever.
#[derive(Default)]
struct Model(Vec<Card>);

impl Model {
    fn answer(&self, requester: &Fingerprint, rule: &CardRule<'_>, limit: usize) -> CardPage {
        let mut cards: Vec<(usize, &Card)> =
            self.0.iter().enumerate().filter(|(_, card)| matches(card, requester, rule)).collect();
        match rule.selection {
            CardSelection::ModifiedSince(_) => cards.sort_by_key(|(seq, card)| (card.modified, *seq)),
            _ => cards.sort_by_key(|(seq, card)| (card.created, *seq)),
        }
        let more = cards.len() > limit;
        CardPage { cards: cards.into_iter().take(limit).map(|(_, card)| card.clone()).collect(), more }
    }
}

fn matches(card: &Card, requester: &Fingerprint, rule: &CardRule<'_>) -> bool {
    let to = card.addressee == *requester && rule.role != CardRole::Originator;
    let from = card.originator == Some(*requester) && rule.role != CardRole::Addressee;
    let selected = match rule.selection {
        CardSelection::All => true,
        CardSelection::Ids(ids) => ids.contains(&card.message_id),
        CardSelection::AcceptedSince(time) => card.created >= time,
        CardSelection::ModifiedSince(time) => card.modified >= time,
    };
    (to || from) && selected && !(rule.no_reception && card.received.is_some())
}

pub(crate) fn selection_is_that_of_the_naive_model(open: Open) {
    let mut runner = TestRunner::new(Config::with_cases(12));
    let strategy = (prop::collection::vec(step(), 0..40), prop::collection::vec(question(), 20));
    runner
        .run(&strategy, |(steps, questions)| {
            let fixture = Fixture::new(open);
            let model = live(&fixture, &steps);
            for question in &questions {
                let ids: Vec<_> = question.ids.iter().map(|number| id(format!("m{number}"))).collect();
                let selection = match question.selection {
                    0 => CardSelection::All,
                    1 => CardSelection::Ids(&ids),
                    2 => CardSelection::AcceptedSince(at(question.since)),
                    _ => CardSelection::ModifiedSince(at(question.since)),
                };
                let role = [CardRole::Any, CardRole::Originator, CardRole::Addressee][usize::from(question.role)];
                let rule = rule(selection, role, question.no_reception);
                let who = person(PEOPLE[question.who]);
                let page = fixture.store().cards(&who, &rule, question.limit).unwrap();
                prop_assert_eq!(page, model.answer(&who, &rule, question.limit), "{:?}", question);
            }
            for name in PEOPLE {
                let waiting: Vec<_> =
                    model.0.iter().filter(|card| card.addressee == person(name) && card.received.is_none()).collect();
                let found = fixture.store().next_delivery(&person(name), OLDEST).unwrap();
                prop_assert_eq!(found.as_ref().map(|found| &found.card), waiting.first().copied());
                prop_assert_eq!(found.is_some_and(|found| found.more), waiting.len() > 1);
            }
            let stats = fixture.store().stats().unwrap();
            prop_assert_eq!(stats.waiting as usize, model.0.iter().filter(|card| card.received.is_none()).count());
            Ok(())
        })
        .unwrap();
}

/// Does the steps in the store and in the model.
fn live(fixture: &Fixture, steps: &[Step]) -> Model {
    let store = fixture.store();
    let mut model = Model::default();
    for step in steps {
        match step {
            Step::Accept { from, to, at: time } => {
                let name = format!("m{}", model.0.len());
                let mut given = delivery(&name, *time);
                given.originator = from.map(|number| person(PEOPLE[number]));
                given.addressee = person(PEOPLE[*to]);
                store.accept(given).unwrap();
                model.0.push(store.card(&id(name)).unwrap().unwrap());
            }
            Step::Forward { message, at: time } => {
                store.mark_forwarded(&id(format!("m{message}")), at(*time)).unwrap();
                if let Some(card) = model.0.get_mut(*message).filter(|card| card.forwarded.is_none()) {
                    let time = at(*time).max(card.created);
                    card.forwarded = Some(time);
                    card.modified = card.modified.max(time);
                }
            }
            Step::Receive { messages, at: time } => {
                let ids: Vec<_> = messages.iter().map(|number| id(format!("m{number}"))).collect();
                store.mark_received(&ids, at(*time)).unwrap();
                for message in messages {
                    if let Some(card) = model.0.get_mut(*message).filter(|card| card.received.is_none()) {
                        let time = at(*time).max(card.forwarded.unwrap_or(card.created));
                        card.received = Some(time);
                        card.modified = card.modified.max(time);
                    }
                }
            }
        }
    }
    model
}
