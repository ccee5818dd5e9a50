import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { withTables } from '../../scripts/check-tables.ts'
import { projectFile } from './project-files.ts'

it('docs/checks.md lists every check as the catalogue has it', () => {
  const text = readFileSync(projectFile('docs/checks.md'), 'utf8')
  expect(text).toBe(withTables(text))
})
