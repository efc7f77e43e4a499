import { TYPES } from './grammar/type.ts'

/** The command was not understood: the usage is printed beside the message. */
export class UsageError extends Error {}

export const USAGE = `Usage:
  npm run generate -- resource <names> <field>… [--sort a,b] [--search a] [--filter a,b] [--readers user_id] [--one name]
  npm run generate -- field <names> <field> [--sort] [--search] [--filter] [--fill value]
  npm run generate -- undo <names>

A field is name:type, with ? where it may be null, and =value for its default.
Types: ${TYPES.join(', ')}

For example:
  npm run generate -- resource notes 'text:text(1000)' 'pinned:flag=false' 'due:day?' --sort due --search text --filter pinned
  npm run generate -- field notes 'colour:oneOf(red,blue)=red' --filter
  npm run generate -- undo notes`
