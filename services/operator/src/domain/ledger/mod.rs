//! Who may have how many connections, so that never more than the budget are open.
