SELECT id FROM found WHERE name GLOB ? AND name NOT GLOB 'Alb*' AND (found.name) GLOB (?1)
SELECT id FROM found WHERE name GLOB ? || '*' OR name GLOB NULL OR NOT name GLOB '*'
SELECT id FROM found WHERE name = ? AND ? <> name AND name IN (?1, 'x', NULL) AND name NOT IN (:a, 'y') AND pin = 7
SELECT id, name GLOB ?1 AS x FROM found WHERE mail = ?1
UPDATE found SET name = ? WHERE name = ? RETURNING name
SELECT a.id FROM found a LEFT JOIN found b ON b.name GLOB ?1 AND a.id = b.id GROUP BY a.id HAVING count(*) FILTER (WHERE a.name = ?2) > 1
