//! Parts that commands and endpoints take from one another by `use`.

use super::super::schema;
use super::super::setting::{Table, Value};
use super::super::value::{Code, Name};
use crate::adapter::Operation;
use crate::core::role::Role;

/// Parts that commands and endpoints have in common.
#[derive(Clone, Copy)]
pub(super) struct Source<'t> {
    pub r#use: &'t Value<Name>,
    pub operation: &'t Value<Operation>,
    pub role: &'t Value<Role>,
    pub request: &'t Value<Code>,
    pub params: &'t [Table<schema::Param>],
    /// Output in JSON: of a command its own, of an endpoint the answer.
    pub answer: &'t Value<Code>,
}

impl<'t> From<&'t Table<schema::Command>> for Source<'t> {
    fn from(table: &'t Table<schema::Command>) -> Self {
        Self {
            r#use: &table.r#use,
            operation: &table.operation,
            role: &table.role,
            request: &table.request,
            params: &table.params,
            answer: &table.json,
        }
    }
}

impl<'t> From<&'t Table<schema::Endpoint>> for Source<'t> {
    fn from(table: &'t Table<schema::Endpoint>) -> Self {
        Self {
            r#use: &table.r#use,
            operation: &table.operation,
            role: &table.role,
            request: &table.request,
            params: &table.params,
            answer: &table.answer,
        }
    }
}
