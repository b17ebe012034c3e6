//! The tables; nobody outside the store sees them.

#![allow(unreachable_pub, reason = "SeaORM's derive needs `pub`; the modules are the store's alone")]

pub(super) mod category {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "categories")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub slug: String,
        pub title: String,
        pub blurb: String,
        pub position: i32,
    }

    #[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

pub(super) mod product {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "products")]
    pub struct Model {
        #[sea_orm(primary_key)]
        pub id: i64,
        pub slug: String,
        pub title: String,
        pub description_html: String,
        pub category: String,
        pub audience: String,
        pub material: String,
        pub care: String,
        pub tags: Json,
        pub image_urls: Json,
        pub picture: Json,
        pub colours: Json,
        pub currency: String,
        /// Of the cheapest variant, kept here so that a listing needn't look at variants.
        pub from_price: i64,
        pub from_compare_at: Option<i64>,
        pub price_varies: bool,
        pub fingerprint: String,
        pub version: i64,
        pub created_at: i64,
        pub updated_at: i64,
        pub search_title: String,
        pub search_kind: String,
        pub search_material: String,
        pub search_description: String,
    }

    #[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

pub(super) mod variant {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "variants")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub sku: String,
        pub product: String,
        pub position: i32,
        pub size: String,
        pub colour: String,
        pub colour_hex: String,
        pub price: i64,
        pub compare_at: Option<i64>,
        pub grams: i32,
        pub stock: i32,
        pub reserved: i32,
        /// Its product no longer has it: it isn't sold, but orders and reservations name it.
        pub withdrawn: bool,
    }

    #[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

pub(super) mod reservation {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "reservations")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        pub state: String,
        pub lines: Json,
        pub expires_at: i64,
        /// It was released after its stock had been taken off the shelf, and not before.
        pub returned: bool,
    }

    #[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

pub(super) mod adjustment {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "stock_adjustments")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub request_id: Uuid,
        pub sku: String,
        pub delta: i32,
        pub adjusted_at: i64,
    }

    #[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}
