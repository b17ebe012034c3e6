/// How many items there may be: floor ≤ limit ≤ ceiling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The limit is never set below.
    pub floor: u32,
    /// How many there may be now; 0 for none yet, whatever the floor.
    pub limit: u32,
    /// The limit is never set above.
    pub ceiling: u32,
    /// How many more than are in use should be there, so that who comes next needn't wait until one is made.
    pub spare: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { floor: 1, limit: 8, ceiling: 8, spare: 1 }
    }
}
