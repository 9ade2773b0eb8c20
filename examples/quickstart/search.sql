-- What a search for beginnings, ends, members or equality is sent as.
DO $colseal$
BEGIN
	IF pg_catalog.to_regprocedure('colseal.terms1(pg_catalog.bytea)') IS NULL THEN
		CREATE SCHEMA IF NOT EXISTS colseal;
		CREATE FUNCTION colseal.terms1(cell bytea) RETURNS tsvector LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $terms$
		BEGIN
			RETURN CASE WHEN pg_catalog.length(cell) OPERATOR(pg_catalog.>) 9
				AND (pg_catalog.substring(cell, 1, 2) OPERATOR(pg_catalog.=) pg_catalog.decode('0104', 'hex')
					OR pg_catalog.substring(cell, 1, 2) OPERATOR(pg_catalog.=) pg_catalog.decode('0105', 'hex'))
			THEN pg_catalog.array_to_tsvector(pg_catalog.string_to_array(pg_catalog.encode(pg_catalog.substring(cell, 11,
				256 OPERATOR(pg_catalog.*) pg_catalog.get_byte(cell, 8) OPERATOR(pg_catalog.+) pg_catalog.get_byte(cell, 9)), 'escape'), ' ')) END;
		END
		$terms$;
	END IF;
END
$colseal$;

CREATE INDEX IF NOT EXISTS "colseal_quickstart_customers_email_terms" ON "quickstart_customers" USING gin (colseal.terms1("email"));
