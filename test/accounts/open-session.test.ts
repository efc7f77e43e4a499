import { test } from 'tap'
import { statements } from '../../src/database/statement.ts'
import { startService } from '../support/service.ts'

void test('no statement opens a session but by the function that asks for the second factor', async (t) => {
  await startService(t)
  const opening = [...statements.values()].filter(({ text }) => /insert into "sessions"/.test(text))
  t.ok(opening.length >= 3)
  for (const { name, text } of opening) {
    t.match(text, /\bproven as \(/, `${name} opens a session for who was proven`)
    t.match(text, /join used on used\.user_id = account\.id|not exists \(\s*select from "factors"/, name)
    t.match(text, /insert into "audit_events"/, name)
  }
})
