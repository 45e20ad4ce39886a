//! The shared suite on SQLite.

mod suite;

use std::path::Path;
use std::sync::Arc;

use rohrpost_store::{SqliteOptions, SqliteStore, Store};

fn open(dir: &Path) -> Arc<dyn Store> {
    Arc::new(SqliteStore::open(dir, suite::signer(), SqliteOptions::default()).expect("the store opens"))
}

macro_rules! run {
    ($($module:ident: $($case:ident),+;)+) => {
        $(mod $module {
            $(#[test]
            fn $case() {
                super::suite::$module::$case(super::open);
            })+
        })+
    };
}

run! {
    mailbox:
        everything_comes_back_as_it_went_in,
        a_body_may_come_as_a_file,
        an_id_is_used_once_for_ever,
        oldest_first_until_received,
        what_was_handed_out_is_skipped,
        by_id_also_what_was_received,
        since_a_time_in_milliseconds,
        the_first_stamp_counts,
        a_clock_that_goes_back_does_not_turn_back_the_card,
        mailboxes_have_limits,
        the_log_says_what_was_accepted;
    outbound:
        it_comes_back_with_its_way_until_received,
        nobody_fetches_what_is_on_its_way,
        one_tries_at_a_time,
        a_pause_after_a_failure_outlives_no_process_but_its_count_does,
        what_is_deferred_rests_and_nothing_was_tried,
        whether_it_may_have_arrived_is_known_whatever_happens,
        what_is_given_up_says_why,
        what_is_on_its_way_to_one_addressee_is_bounded;
    rechecks:
        what_is_due_is_found_until_it_is_over,
        a_card_is_amended_with_an_entry_in_the_log,
        an_amendment_of_a_removed_card_is_none;
    chunks:
        chunks_come_in_any_order_and_outlive_the_process,
        a_chunk_counts_once_and_contradicts_nothing,
        owners_do_not_meet,
        uploads_are_bounded_per_owner_and_in_all,
        an_upload_ends_with_its_delivery,
        what_nobody_goes_on_with_is_forgotten,
        a_prepared_answer_stays_as_it_is,
        only_files_of_kept_chunks_outlive_a_crash;
    cards:
        only_participants_see_a_card,
        a_page_says_whether_there_is_more,
        a_page_is_bounded_whatever_the_cards_hold,
        since_the_last_change,
        selection_is_that_of_the_naive_model;
    log:
        refusals_are_recorded,
        every_entry_is_provable,
        a_checkpoint_always_exists_and_covers_what_was_returned,
        exports_grow;
    retention:
        nothing_goes_by_default,
        bodies_go_and_cards_stay,
        a_late_acknowledgement_of_an_expired_delivery_is_kept,
        ids_outlive_cards,
        many_go_in_steps;
    stamps:
        plain_cards_want_nothing,
        tokens_come_back,
        what_is_wanted_is_waited_for_until_it_comes,
        passive_recipients_receive_too,
        nothing_is_wanted_for_cards_that_are_gone;
    concurrency:
        many_accept_and_nothing_is_lost,
        one_of_many_with_the_same_id_wins,
        of_many_hand_outs_and_receptions_at_once_one_counts,
        a_full_mailbox_spoils_nothing_for_others,
        readers_writers_and_retention_together;
}
