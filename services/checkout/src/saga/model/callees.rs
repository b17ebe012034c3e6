//! Whoever is asked, as their contracts say: catalogue, payment provider, delivery and cart, for one order.

use crate::domain::recovery::Authorisation;
use crate::peers::{Answer, Refused};

/// What one of them may get wrong. The model must find each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mistake {
    /// A parcel that was cancelled since is refused when it is asked for again. It was so, and kept the money of cancelled
    /// orders.
    CancelledParcelIsRefused,
    /// Stock that was given back since is refused when its commit is asked for again.
    ReturnedStockIsRefused,
    /// A parcel that was cancelled since is made anew when it is asked for again.
    CancelledParcelIsMadeAnew,
    /// A release without a reservation leaves nothing behind.
    ReleaseLeavesNoMark,
    /// A void without a payment leaves nothing behind.
    VoidLeavesNoMark,
    /// Each capture takes the money.
    CapturesTwice,
    /// Each refund gives the money back.
    RefundsTwice,
    /// Each commit takes the goods off the shelf.
    CommitsTwice,
    /// Each release puts the goods on the shelf.
    ReleasesTwice,
    /// A parcel that has left is stopped all the same.
    StopsWhatHasLeft,
    /// A relay stores what came of messages though its claim is another's. It is the relay's mistake, and no callee's.
    StoresWithoutClaim,
}

impl Mistake {
    pub(super) const ALL: [Self; 11] = [
        Self::CancelledParcelIsRefused,
        Self::ReturnedStockIsRefused,
        Self::CancelledParcelIsMadeAnew,
        Self::ReleaseLeavesNoMark,
        Self::VoidLeavesNoMark,
        Self::CapturesTwice,
        Self::RefundsTwice,
        Self::CommitsTwice,
        Self::ReleasesTwice,
        Self::StopsWhatHasLeft,
        Self::StoresWithoutClaim,
    ];
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Stock {
    Free,
    Held,
    Committed,
    /// Given back; `true`: after it was committed.
    Released(bool),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Booked {
    Nothing,
    Approved,
    Declined,
    Voided,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Parcel {
    None,
    Made,
    Left,
    Cancelled,
    /// Cancelled before there was one.
    Never,
}

/// What the callees have in their books about the order.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Callees {
    pub(super) stock: Stock,
    /// Pieces that are off the shelf for this order.
    pub(super) taken: i8,
    pub(super) booked: Booked,
    pub(super) captured: i8,
    pub(super) refunded: i8,
    pub(super) parcel: Parcel,
    /// Parcels that the carrier was given.
    pub(super) made: i8,
    pub(super) cleared: bool,
}

impl Callees {
    pub(super) fn new() -> Self {
        Self {
            stock: Stock::Free,
            taken: 0,
            booked: Booked::Nothing,
            captured: 0,
            refunded: 0,
            parcel: Parcel::None,
            made: 0,
            cleared: false,
        }
    }

    /// Whether the stock is set aside.
    pub(super) fn reserve(&mut self) -> bool {
        if self.stock == Stock::Free {
            self.stock = Stock::Held;
        }
        !matches!(self.stock, Stock::Released(_))
    }

    pub(super) fn commit_stock(&mut self, mistake: Option<Mistake>) -> Answer {
        match self.stock {
            Stock::Free => return Err(Refused::ForNow("there is no such reservation".into())),
            Stock::Held => {
                self.stock = Stock::Committed;
                self.taken += 1;
            }
            Stock::Committed if mistake == Some(Mistake::CommitsTwice) => self.taken += 1,
            Stock::Released(returned) if !returned || mistake == Some(Mistake::ReturnedStockIsRefused) => {
                return Err(Refused::ForGood("it was given back".into()));
            }
            Stock::Committed | Stock::Released(_) => {}
        }
        Ok(())
    }

    pub(super) fn release_stock(&mut self, mistake: Option<Mistake>) -> Answer {
        match self.stock {
            Stock::Free if mistake == Some(Mistake::ReleaseLeavesNoMark) => {}
            Stock::Free | Stock::Held => self.stock = Stock::Released(false),
            Stock::Committed => {
                self.stock = Stock::Released(true);
                self.taken -= 1;
            }
            Stock::Released(true) if mistake == Some(Mistake::ReleasesTwice) => self.taken -= 1,
            Stock::Released(_) => {}
        }
        Ok(())
    }

    /// What the provider says to a card that it likes, or doesn't.
    pub(super) fn authorise(&mut self, likes: bool) -> Authorisation {
        if self.booked == Booked::Nothing {
            self.booked = if likes { Booked::Approved } else { Booked::Declined };
        }
        if self.booked == Booked::Approved { Authorisation::Approved } else { Authorisation::Declined }
    }

    pub(super) fn lookup(&self) -> Authorisation {
        match self.booked {
            Booked::Approved => Authorisation::Approved,
            Booked::Declined => Authorisation::Declined,
            Booked::Nothing | Booked::Voided => Authorisation::Nothing,
        }
    }

    pub(super) fn capture_payment(&mut self, mistake: Option<Mistake>) -> Answer {
        if self.booked != Booked::Approved {
            return Err(Refused::ForGood("nothing is set aside".into()));
        }
        self.captured = if mistake == Some(Mistake::CapturesTwice) { self.captured + 1 } else { 1 };
        Ok(())
    }

    pub(super) fn void_payment(&mut self, mistake: Option<Mistake>) -> Answer {
        match self.booked {
            Booked::Approved if self.captured > 0 => return Err(Refused::ForGood("it was taken already".into())),
            Booked::Nothing if mistake == Some(Mistake::VoidLeavesNoMark) => {}
            Booked::Nothing | Booked::Approved => self.booked = Booked::Voided,
            Booked::Declined | Booked::Voided => {}
        }
        Ok(())
    }

    pub(super) fn refund_payment(&mut self, mistake: Option<Mistake>) -> Answer {
        match self.booked {
            Booked::Nothing => return Err(Refused::ForGood("there is no payment".into())),
            Booked::Approved if self.captured == 0 => self.booked = Booked::Voided,
            _ if mistake == Some(Mistake::RefundsTwice) => self.refunded += 1,
            _ => self.refunded = self.captured,
        }
        Ok(())
    }

    pub(super) fn create_shipment(&mut self, mistake: Option<Mistake>) -> Answer {
        match self.parcel {
            Parcel::Cancelled | Parcel::Never if mistake == Some(Mistake::CancelledParcelIsRefused) => {
                return Err(Refused::ForGood("it was cancelled".into()));
            }
            Parcel::Cancelled if mistake == Some(Mistake::CancelledParcelIsMadeAnew) => {
                self.parcel = Parcel::Made;
                self.made += 1;
            }
            Parcel::None => {
                self.parcel = Parcel::Made;
                self.made += 1;
            }
            Parcel::Made | Parcel::Left | Parcel::Cancelled | Parcel::Never => {}
        }
        Ok(())
    }

    pub(super) fn cancel_shipment(&mut self, mistake: Option<Mistake>) -> Answer {
        match self.parcel {
            Parcel::None => self.parcel = Parcel::Never,
            Parcel::Left if mistake != Some(Mistake::StopsWhatHasLeft) => return Err(Refused::OnItsWay),
            Parcel::Made => self.parcel = Parcel::Cancelled,
            Parcel::Left | Parcel::Cancelled | Parcel::Never => {}
        }
        Ok(())
    }
}
