/** What was seen, counted and told as it happens. */
export class Checks {
  #passed = 0
  #failed = 0

  seen(what: string, holds: boolean, detail = ''): void {
    if (holds) this.#passed += 1
    else this.#failed += 1
    console.log(holds ? `  ✓ ${what}` : `  ✗ ${what}: ${detail}`)
  }

  /** What does not come, or can't be clicked, ends its scenario and not the others. */
  async scenario(name: string, run: () => Promise<void>): Promise<void> {
    console.log(name)
    try {
      await run()
    } catch (error) {
      this.seen('gets to its end', false, error instanceof Error ? error.message : String(error))
    }
  }

  finish(): void {
    console.log(`${this.#passed} passed, ${this.#failed} failed`)
    process.exitCode = this.#failed > 0 || this.#passed === 0 ? 1 : 0
  }
}
