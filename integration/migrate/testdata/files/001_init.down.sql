DROP TABLE orders;
DROP TABLE customers;
DROP FUNCTION touch();
DROP TYPE plan;
