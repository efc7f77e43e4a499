import { generateDrizzleJson, generateMigration } from 'drizzle-kit/api'
import { test } from 'tap'
import { MAKE_PAPERS, papers } from '../support/papers.ts'

const plain = (text: string) => text.replaceAll(/\s+/g, ' ').replaceAll('( ', '(').replaceAll(' )', ')')

void test("the tests' own table is made as drizzle-kit would make it", async (t) => {
  const statements = await generateMigration(generateDrizzleJson({}), generateDrizzleJson({ papers }))
  t.equal(statements.length, 6)
  for (const statement of statements)
    t.ok(plain(MAKE_PAPERS).includes(plain(statement).trim().replace(/;$/, '')), statement)
})
