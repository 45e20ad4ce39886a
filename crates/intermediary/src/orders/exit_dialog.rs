//! ExitDialog: the dialog closed itself when its control block was checked; acknowledgements were taken before.

use super::Done;

pub(super) fn execute() -> Done {
    Done::plain()
}
