//! Failure of a use case.
//!
//! **Invariant:** a message names the thing; a hint says how to fix it.

use crate::ledger::LedgerError;
use crate::registry::{RegistryError, ShadowError};

/// Kind of a failure. Maps to an HTTP status in one place, `crate::http::error`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, strum::VariantArray)]
pub enum ErrorKind {
    /// The request itself is wrong.
    Invalid,
    /// The request shows no credentials, and needs some.
    Unauthenticated,
    /// The credentials of the request are not valid.
    InvalidCredentials,
    /// The requester lacks the role.
    Forbidden,
    /// Too many requests of this kind came from there.
    RateLimited,
    /// The named thing does not exist.
    NotFound,
    /// The request does not fit the present state.
    Conflict,
    /// Another run is in progress.
    RunInProgress,
    /// The request is well formed, and means nothing here.
    Unprocessable,
    /// A fault of the daemon.
    Internal,
    /// A limit is reached, or something that is needed is down.
    Unavailable,
    /// The disk is full.
    StorageFull,
}

impl ErrorKind {
    /// Stable code in JSON.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Invalid => "invalid",
            Self::Unauthenticated => "unauthenticated",
            Self::InvalidCredentials => "invalid-credentials",
            Self::Forbidden => "forbidden",
            Self::RateLimited => "rate-limited",
            Self::NotFound => "not-found",
            Self::Conflict => "conflict",
            Self::RunInProgress => "run-in-progress",
            Self::Unprocessable => "unprocessable",
            Self::Internal => "internal",
            Self::Unavailable => "unavailable",
            Self::StorageFull => "storage-full",
        }
    }
}

/// Failure of a use case: nothing was changed, unless the message says so.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AppError {
    /// Kind.
    pub kind: ErrorKind,
    /// Description that names the thing.
    pub message: String,
    /// Advice on how to fix it.
    pub hint: Option<String>,
    /// Accepted values.
    pub allowed: Vec<String>,
    /// Number of the run that is in progress.
    pub run: Option<u64>,
}

impl AppError {
    /// Error of that kind.
    #[must_use]
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            hint: None,
            allowed: Vec::new(),
            run: None,
        }
    }

    /// Error of a wrong request.
    #[must_use]
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Invalid, message)
    }

    /// Error of a query parameter `name` with the value `found`.
    #[must_use]
    pub fn invalid_parameter(name: &str, found: &str) -> Self {
        Self::invalid(format!("query parameter \"{name}\" cannot be \"{found}\""))
    }

    /// Error of a missing thing.
    #[must_use]
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::NotFound, message)
    }

    /// Error of a conflict.
    #[must_use]
    pub fn conflict(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Conflict, message)
    }

    /// Error of a fault of the daemon.
    #[must_use]
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Internal, message)
    }

    /// Error of a limit, or of something that is down.
    #[must_use]
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unavailable, message)
    }

    /// Error of a daemon that is stopping.
    #[must_use]
    pub fn stopping() -> Self {
        Self::unavailable("the daemon is stopping")
    }

    /// Adds advice.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds the accepted values.
    #[must_use]
    pub fn allowed<S: Into<String>>(mut self, allowed: impl IntoIterator<Item = S>) -> Self {
        self.allowed = allowed.into_iter().map(Into::into).collect();
        self
    }

    /// Splits the text of another error: its first line is the message, the others are the hint.
    pub(crate) fn from_text(kind: ErrorKind, text: &str) -> Self {
        let (message, hint) = text.split_once('\n').unwrap_or((text, ""));
        let hint: Vec<&str> = hint.lines().map(str::trim).collect();
        let error = Self::new(kind, message);
        match hint.join("; ") {
            hint if hint.is_empty() => error,
            hint => error.hint(hint),
        }
    }
}

impl std::fmt::Display for AppError {
    /// Writes the message; accepted values and advice follow on lines of their own.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)?;
        if !self.allowed.is_empty() {
            write!(f, "\n  allowed: {}", self.allowed.join(", "))?;
        }
        match &self.hint {
            Some(hint) => write!(f, "\n  {hint}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for AppError {}

impl From<ShadowError> for AppError {
    fn from(error: ShadowError) -> Self {
        Self::internal(error.to_string())
    }
}

impl From<RegistryError> for AppError {
    fn from(error: RegistryError) -> Self {
        let kind = match &error {
            RegistryError::Full { .. } => ErrorKind::StorageFull,
            RegistryError::Locked { .. } => ErrorKind::Unavailable,
            RegistryError::Damaged { .. }
            | RegistryError::Newer { .. }
            | RegistryError::Refused { .. } => ErrorKind::Internal,
        };
        Self::from_text(kind, &error.to_string())
    }
}

impl From<LedgerError> for AppError {
    fn from(error: LedgerError) -> Self {
        Self::from_text(ErrorKind::Internal, &error.to_string())
    }
}
