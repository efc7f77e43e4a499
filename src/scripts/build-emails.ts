import { mkdir, writeFile } from 'node:fs/promises'
import { compileTemplates } from '../mail/compiler.ts'

// A part of the build: production has neither MJML nor `emails/`, only what this writes.
const target = new URL('../../dist/mail/templates.json', import.meta.url)
const templates = await compileTemplates()

await mkdir(new URL('.', target), { recursive: true })
await writeFile(target, JSON.stringify(templates))
console.log(`dist/mail/templates.json: ${Object.keys(templates).join(', ')}`)
