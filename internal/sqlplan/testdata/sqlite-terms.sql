SELECT id FROM found WHERE name GLOB ? AND name NOT GLOB 'Alb*' AND (found.name) GLOB (?1)
SELECT id FROM found WHERE name GLOB ? || '*' OR name GLOB NULL OR NOT name GLOB '*'
SELECT id FROM found WHERE name = ? AND ? <> name AND name IN (?1, 'x', NULL) AND name NOT IN (:a, 'y') AND pin = 7
SELECT id, name GLOB ?1 AS x FROM found WHERE mail = ?1
UPDATE found SET name = ? WHERE name = ? RETURNING name
SELECT a.id FROM found a LEFT JOIN found b ON b.name GLOB ?1 AND a.id = b.id GROUP BY a.id HAVING count(*) FILTER (WHERE a.name = ?2) > 1
# refused
SELECT id FROM found WHERE name GLOB 'A*' OR name GLOB '*abc*' OR name GLOB 'a?c' OR name GLOB '[ab]*' OR name GLOB '*abc'
SELECT id FROM found WHERE name LIKE 'abc%' OR lower(name) = 'abc' OR name > 'a' OR name = note OR name GLOB note OR tags = ?
SELECT id FROM found WHERE name IS ? OR name IS NOT 'x' OR name = ? COLLATE NOCASE OR (name COLLATE NOCASE) GLOB ? OR name NOT LIKE ? OR name LIKE ? ESCAPE '!' OR name REGEXP ?
SELECT id FROM found WHERE name GLOB NULL || '*' OR name GLOB 'a' || 'b' OR instr(name, ?) > 0 OR substr(name, 1, 2) = ? OR name COLLATE BINARY = ?
SELECT id FROM found WHERE name GLOB lower(?) OR name = lower(?) OR name IN ('x', lower(?)) OR name GLOB lower('a' || ?)
SELECT DISTINCT name FROM found
SELECT name, count(*) FROM found GROUP BY name
SELECT id FROM found a JOIN found b USING (name)
SELECT id FROM found ORDER BY name GLOB ?
CREATE VIEW v AS SELECT id FROM found WHERE name GLOB 'abc*'
CREATE INDEX i ON found (id) WHERE name = 'abc'
