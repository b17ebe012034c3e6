mod classes;
mod evidence;
mod fixed;
mod limits;
mod properties;
mod table;
mod world;
