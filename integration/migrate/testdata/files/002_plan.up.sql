ALTER TABLE customers ADD COLUMN plan plan;
UPDATE customers SET plan = 'free', ssn = 'zqcanary-unknown' WHERE ssn IS NULL AND email <> 'zqcanary-b';
UPDATE customers SET plan = 'paid' WHERE customers.plan IS NULL;
ALTER TABLE customers ALTER COLUMN plan SET NOT NULL, ALTER COLUMN plan SET DEFAULT 'free';
CREATE TABLE notes (customer_id bigint, note text);
INSERT INTO notes SELECT id, note FROM customers WHERE status = 'new';
