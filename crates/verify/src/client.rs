//! Who a request comes from.

/// Who a request says that it comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Client {
    /// The client, with its secret if it has one.
    Ours,
    /// The client, with a secret that is not its own.
    WrongSecret,
    /// The client by its id alone.
    NoSecret,
    /// A client that does not exist.
    Unknown,
    /// Nobody: there are no credentials at all.
    Nobody,
}
