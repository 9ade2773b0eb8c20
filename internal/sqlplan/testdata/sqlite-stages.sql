SELECT * FROM users
SELECT Email, u."email", lower(note) FROM users u WHERE EMAIL = ?
SELECT email FROM (SELECT email FROM users) WHERE email = ?1
INSERT INTO users (id, email, ssn) VALUES (?, ?, :c) RETURNING *
INSERT INTO users VALUES (?, ?, ?, ?)
INSERT INTO users (id, email) VALUES (?, ?) ON CONFLICT (email) DO UPDATE SET email = excluded.email
INSERT INTO users (id, email) SELECT id, email FROM ended
REPLACE INTO users (id, email) VALUES (1, 'a@b')
UPDATE users SET email = ?, note = lower(note) WHERE email = ?
UPDATE users SET email = lower(email)
UPDATE users SET (email, note) = (?, ?)
DELETE FROM users WHERE email = ? RETURNING email
UPDATE users SET (email) = (?), [note] = ? WHERE id = ?
INSERT INTO users (id, email) VALUES (?, ?) ON CONFLICT ([Email]) DO UPDATE SET "email" = excluded.[email]
INSERT INTO users (id, `email`) VALUES (?, ?) ON CONFLICT (`email`) DO NOTHING
UPDATE users SET email = IFNULL([email], ?), ssn = iif(email IS NULL, ?, ssn)
