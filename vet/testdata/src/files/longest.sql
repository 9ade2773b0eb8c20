SELECT id FROM users WHERE length(ssn) > 3
