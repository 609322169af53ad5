//! A way by which a message goes into a session.

use super::real::RealHost;
use crate::base::DeliveryKind;
use crate::world::{Delivery, Landing};

/// A way by which a message goes into a session.
pub(super) trait Way {
    /// Which one it is.
    fn kind(&self) -> DeliveryKind;

    /// Hands the message over and waits for evidence.
    fn hand_over(&self, host: &RealHost<'_>, delivery: &Delivery<'_>) -> Result<Landing, Unusable>;
}

/// Why a way can't be used for a message: the session got nothing of it, so that the next way may be tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unusable(pub(super) String);
