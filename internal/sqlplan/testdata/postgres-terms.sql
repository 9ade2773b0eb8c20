# LIKE and its like
SELECT id FROM found WHERE name LIKE $1 AND name NOT LIKE $1 AND (name) ILIKE ($2) ESCAPE '!' AND found.name !~~* $3::text
SELECT id FROM found f WHERE lower(f.name) LIKE lower($1) || '%' OR f.name LIKE 'Alb%' OR name LIKE NULL
SELECT id FROM found WHERE starts_with(name, $1) AND NOT name ^@ $1 AND starts_with(lower(name), $2)
SELECT id FROM found WHERE left(name, 3) = $1 AND $2 <> left(lower(name), 4) AND right(mail, 4) IN ($1, 'abcd') AND left(name, 3) = ANY($3)
SELECT id, name LIKE $1 AS x FROM found
# equality
SELECT id FROM found WHERE name = $1 AND name <> $2 AND name IN ($1, 'x', NULL) AND name NOT IN ('y') AND name = ANY($3::text[]) AND name <> ALL(ARRAY[$1, $2]) AND name = ALL($3)
SELECT id FROM found WHERE pin = $1::int AND pin <> 7 AND mail = $2 AND lower(mail) = lower($2) AND lower(name) = $3
SELECT id FROM found WHERE name LIKE 'Alb' || lower($1) || '%' OR name LIKE lower('Alb' || $2) OR name ILIKE lower($3) ESCAPE 'X'
SELECT name FROM found WHERE ($1 = '' OR name = $1) AND ($2::text IS NULL OR name LIKE $2) ORDER BY id
UPDATE found SET name = $1 WHERE name = $1 RETURNING name
DELETE FROM found WHERE name LIKE $1
SELECT a.id FROM found a LEFT JOIN found b ON b.name LIKE $1 AND a.id = b.id GROUP BY a.id HAVING count(*) FILTER (WHERE a.name = $2) > 1
SELECT id FROM (SELECT id, name AS n FROM found UNION ALL SELECT id, name FROM found) s WHERE n LIKE 'Abc%'
# members
SELECT id FROM found WHERE $1 = ANY (tags) AND NOT ($2 = ANY (tags)) AND $3 <> ALL (tags) AND NOT ($3 <> ALL (tags) AND id > 1)
SELECT id FROM found WHERE tags @> $1 AND $1 <@ tags AND tags && '{a,b}' AND tags @> ARRAY[$2, NULL, 'x']::text[] AND ARRAY[$3] && tags
# refused
SELECT id FROM found WHERE name LIKE 'A%'
SELECT id FROM found WHERE name LIKE '%a'
SELECT id FROM found WHERE name LIKE 'a_c' OR name LIKE '%abc%' OR name LIKE 'a%c' OR name LIKE 'abc\'
SELECT id FROM found WHERE mail LIKE 'abcd' OR left(mail, 4) = 'abcd' OR mail LIKE 'abc%'
SELECT id FROM found WHERE pin LIKE $1 OR pin < $2 OR txt = $1 OR upper(name) = $3
SELECT id FROM found WHERE name LIKE $1 ESCAPE $2
SELECT id FROM found WHERE left(name, $1) = 'abc' OR left(name, -1) = 'abc'
SELECT id FROM found WHERE name = note OR note LIKE name OR name LIKE note OR name = mail
SELECT id FROM found WHERE name LIKE $1 AND note LIKE $1
SELECT $1 = ANY (tags), ($1 = ANY (tags)) IS NOT TRUE FROM found
SELECT starts_with(name, $1) FROM found
SELECT id FROM found WHERE NOT NULL = ANY (tags) OR NULL::text <> ALL (tags)
SELECT id FROM found WHERE $1 <> ANY (tags) OR $1 = ALL (tags) OR tags <@ $1 OR tags @> ARRAY[]::text[]
SELECT name, count(*) FROM found GROUP BY name ORDER BY name
CREATE VIEW v AS SELECT id FROM found WHERE name LIKE 'abc%'
CREATE INDEX ON found (lower(name))
SELECT id FROM found WHERE (name, id) = ($1, 7) OR name IS NOT DISTINCT FROM $2 OR name IS DISTINCT FROM $3
