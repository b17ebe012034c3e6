mod classes;
mod limits;
mod properties;
mod table;
mod world;
