import { mkdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { compileTemplates } from '../mail/compiler.ts'

// Part of the build: production has neither MJML nor emails/, only the compiled templates.
const [out = 'dist'] = process.argv.slice(2)
const target = join(out, 'mail', 'templates.json')
const templates = await compileTemplates()

await mkdir(dirname(target), { recursive: true })
await writeFile(target, JSON.stringify(templates))
