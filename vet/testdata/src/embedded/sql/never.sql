-- the oldest first
SELECT id FROM users
ORDER BY born
