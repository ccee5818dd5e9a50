import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'

/** A program named `nmap` that is the given JavaScript; gone after the test. Not for Windows. */
export function fakeNmap(script: string): { folder: string; file: string } {
  const folder = mkdtempSync(join(tmpdir(), 'landfall-nmap-'))
  onTestFinished(() => {
    rmSync(folder, { recursive: true, force: true })
  })
  const file = join(folder, 'nmap')
  writeFileSync(file, `#!${process.execPath}\nconst folder = ${JSON.stringify(folder)};\n${script}\n`)
  chmodSync(file, 0o755)
  return { folder, file }
}

/** Pieces of such a program. */
export const hang = `for (const s of ['SIGTERM', 'SIGINT', 'SIGHUP']) process.on(s, () => {}); setInterval(() => {}, 1000);`
export const notePid = `require('fs').writeFileSync(folder + '/pid', String(process.pid));`
export const say = (text: string) => `process.stdout.write(${JSON.stringify(text)});`
export const complain = (text: string) => `process.stderr.write(${JSON.stringify(text)});`
