/** What a command did: a line for each file, and what comes next. */
export function report(done: readonly string[], next: readonly string[]): void {
  for (const file of done) console.log(`  ${file}`)
  console.log()
  for (const line of next) console.log(line)
}
