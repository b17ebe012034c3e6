/// How much it matters that an operation gets a connection now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// Somebody's money or promise hangs on it.
    Critical,
    /// The usual.
    Normal,
    /// The first to be refused when there is too much.
    Sheddable,
}

impl Class {
    /// All classes, the highest first.
    pub const ALL: [Self; 3] = [Self::Critical, Self::Normal, Self::Sheddable];

    /// Its name in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::Normal => "normal",
            Self::Sheddable => "sheddable",
        }
    }
}
