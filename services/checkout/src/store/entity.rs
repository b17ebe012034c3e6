use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "orders")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub owner: String,
    pub idempotency_key: String,
    pub fingerprint: Vec<u8>,
    pub number: String,
    pub state: String,
    pub payment: String,
    /// JSON; see `domain::refusal`.
    pub refusal: Option<Json>,
    /// A snapshot that never changes and is always read whole, so it is one JSON value and not a table.
    pub lines: Json,
    pub amounts: Json,
    pub email: String,
    pub address: Json,
    pub speed: String,
    pub grams: i32,
    pub attempt_until: i64,
    pub created_at: i64,
    pub updated_at: i64,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
