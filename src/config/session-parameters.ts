/**
 * What a database or a role may have set otherwise, and what would change answers: how dates are written, where tables
 * are looked for, what a statement sees. Every connection says it when it starts. PgBouncer keeps these two for each
 * client, and refuses the others ("unsupported startup parameter").
 */
export const throughPooler = { DateStyle: 'ISO, MDY', TimeZone: 'UTC' }

export const direct = {
  ...throughPooler,
  IntervalStyle: 'postgres',
  bytea_output: 'hex',
  extra_float_digits: '1',
  standard_conforming_strings: 'on',
  transform_null_equals: 'off',
  search_path: 'public',
  default_transaction_isolation: 'read committed',
} as const
