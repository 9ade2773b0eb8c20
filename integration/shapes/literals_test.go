package shapes

// literals are about what constants and casts make of a value.
var literals = []shape{
	{name: "rounded", sql: `UPDATE leads SET phone=104046000000008.6 WHERE id=1 RETURNING phone`},
	{name: "not rounded", sql: `UPDATE leads SET phone=COALESCE(phone,104046000000008.6)`, want: refused},
	{name: "whole", sql: `SELECT id FROM leads WHERE phone=104046000000001.0 OR phone=1.04046000000002e14 OR phone='104046000000009'::numeric`},
	{name: "between two", sql: `SELECT id FROM leads WHERE phone=104046000000001.5`, want: refused},
	{name: "overflow", sql: `UPDATE leads SET phone='104046000000009'::integer`, want: refused},
	{name: "no number", sql: `SELECT id FROM leads WHERE phone='x'`, want: refused},
	{name: "number cast to text", sql: `INSERT INTO users(id,email) VALUES (100,104046000000001.50::text) RETURNING email`},
	{name: "parameter cast wide", sql: `SELECT id FROM leads WHERE phone=$1::bigint OR phone=$2::numeric`, args: args(bigPhone+1, bigPhone+2)},
	{name: "parameter cast narrow", sql: `SELECT id FROM leads WHERE phone=$1::smallint`, args: args(7)},
	{name: "array cast narrow", sql: `SELECT id FROM leads WHERE phone=ANY('{7,NULL}'::int2[]) OR phone=ANY(ARRAY[$1,8]::int[])`, args: args(7)},
	{name: "cast with a length", sql: `SELECT id FROM users WHERE email=$1::varchar(8)`, args: args(a), want: refused},
	{name: "cast that changes", sql: `SELECT id FROM users WHERE email=$1::name`, args: args(a), want: refused},
	{name: "array of arrays", sql: `SELECT id FROM users WHERE email=ANY('{{zqcanary-a}}')`, want: refused},
}
