mod classes;
mod evidence;
mod limits;
mod properties;
mod table;
mod world;
