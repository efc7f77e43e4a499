import type { Field } from './grammar/fields.ts'
import type { Resource } from './project.ts'

/** Rows from before a field, and those of a table that others wait for: what is needed now, and what in the next release. */

/** @throws Error where rows from before the field would have no value of it */
export function checkOldRows({ name, isOptional, default: value, fill }: Field, text: string): void {
  if (fill !== undefined && (isOptional || value !== undefined))
    throw new Error(`${name}: --fill is for fields that must be given: leave it out`)
  if (isOptional || value !== undefined || fill !== undefined) return
  throw new Error(
    `${name}: rows from before it need a value: '${text}=…' for a default, '${text}?' for null, or --fill … for these rows alone`,
  )
}

export function nextSteps({ table, file }: Resource, { name, fill }: Field, migration: string): string[] {
  const unchecked = [...migration.matchAll(/CONSTRAINT ("\w+").* NOT VALID/g)].map(
    ([, constraint]) => constraint,
  )
  return [
    'Next: npm run check, and npm test: tests that send no such field may need to.',
    'A large table: make the indexes of the migration by hand before it (migrations/README.md).',
    ...(fill === undefined
      ? []
      : [
          `In the next release: take fill out of ${name} in ${file}, then npm run db:generate -- --name ${table}_${name}_needed`,
        ]),
    ...(unchecked.length === 0
      ? []
      : [
          `In the next release: npm run db:generate -- --custom --name ${table}_${name}_valid, with`,
          ...unchecked.map((constraint) => `  ALTER TABLE "${table}" VALIDATE CONSTRAINT ${constraint};`),
        ]),
    'To undo it: git restore . && git clean -f migrations',
  ]
}
