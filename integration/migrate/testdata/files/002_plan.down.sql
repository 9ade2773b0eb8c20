DROP TABLE notes;
ALTER TABLE customers DROP COLUMN plan;
