SELECT id FROM found WHERE name LIKE $1 AND name IN ($1, 'x') AND mail = $2 AND lower(mail) = lower($2)
SELECT id FROM found WHERE mail IN ($1, 'x') AND right(mail, 4) = $1 AND NOT ('a' = ANY (tags) OR mail = 'b')
