import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { readReport, writeReport, type WrittenSection } from './report.ts'
import { sectionNames, type SectionName } from './sections.ts'

const mark = 'landfall-0123456789abcdef'

const partArbitrary = fc.record({
  kind: fc.constantFrom('file', 'absent', 'denied', 'disk'),
  name: fc.stringMatching(/^[!-~][ -~]{0,20}[!-~]$/u),
  text: fc.string({ unit: 'binary' }),
})
const sectionArbitrary: fc.Arbitrary<WrittenSection> = fc.record({
  text: fc.string({ unit: 'binary' }),
  parts: fc.array(partArbitrary, { maxLength: 4 }),
  said: fc.stringMatching(/^([a-z]{1,9}( [a-z]{1,9})?)?$/u),
  exitCode: fc.nat({ max: 255 }),
})
const reportArbitrary = fc.dictionary(fc.constantFrom(...sectionNames), sectionArbitrary) as fc.Arbitrary<
  Partial<Record<SectionName, WrittenSection>>
>

describe('a report', () => {
  it('is read as it was written, whatever the programs printed', () => {
    fc.assert(
      fc.property(reportArbitrary, (sections) => {
        const report = readReport(mark, writeReport(mark, sections))
        expect(report.isComplete).toBe(true)
        expect([...report.sections.keys()]).toEqual(Object.keys(sections))
        for (const [name, written] of Object.entries(sections)) {
          expect(report.sections.get(name as SectionName)).toEqual({
            text: written.text,
            parts: written.parts,
            said: written.said,
            end: { kind: 'complete', exitCode: written.exitCode },
            milliseconds: 10,
          })
        }
      }),
    )
  })

  it('that is cut anywhere tells nothing that the whole one does not tell', () => {
    fc.assert(
      fc.property(reportArbitrary, fc.double({ min: 0, max: 1, noNaN: true }), (sections, share) => {
        const text = writeReport(mark, sections)
        const whole = readReport(mark, text)
        // Not the share decides: next to 1 it rounds up to the whole text.
        const length = Math.floor(text.length * share)
        const cut = readReport(mark, text.slice(0, length))
        for (const [name, section] of cut.sections) {
          const full = whole.sections.get(name)
          if (section.end.kind === 'cut') {
            // What is there of it is a beginning.
            expect(full?.text.startsWith(section.text)).toBe(true)
            expect(section.parts.length).toBeLessThanOrEqual(full?.parts.length ?? 0)
            for (const [index, part] of section.parts.entries()) {
              expect(full?.parts[index]?.text.startsWith(part.text)).toBe(true)
            }
          } else expect(section).toEqual(full)
        }
        if (length < text.length) expect(cut.isComplete).toBe(false)
      }),
    )
  })

  it('of anything else is empty, and no text throws', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        expect(readReport(mark, text)).toEqual({ hasStarted: false, isComplete: false, sections: new Map() })
      }),
    )
    const words = fc.constantFrom('start', 'begin kernel', 'begin what', 'part', 'part file', 'missing', 'said', 'status', 'status x', 'done', 'guard', 'guard 124', 'end kernel', 'end', 'skipped kernel', 'skipped', 'complete', '') // prettier-ignore
    fc.assert(
      fc.property(fc.array(fc.tuple(words, fc.string())), (frames) => {
        const text = frames.map(([word, data]) => `\n${mark} ${word}\n${data}`).join('')
        expect(() => readReport(mark, text)).not.toThrow()
      }),
    )
  })

  it('has no section twice: the first one counts', () => {
    const one = writeReport(mark, { kernel: { text: 'first' } })
    const two = writeReport(mark, { kernel: { text: 'second' } })
    expect(readReport(mark, one + two).sections.get('kernel')?.text).toBe('first')
  })

  it('of another mark is noise', () => {
    expect(readReport('landfall-other-mark', writeReport(mark, { kernel: { text: 'x' } })).hasStarted).toBe(
      false,
    )
  })

  it('says of a program that is not there which one it is', () => {
    const report = readReport(mark, writeReport(mark, { links: { missing: 'ip' } }))
    expect(report.sections.get('links')?.end).toEqual({ kind: 'missing', program: 'ip' })
  })
})
