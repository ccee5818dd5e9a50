import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { zstdDecompressSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { parseDocument } from 'yaml'
import { z } from 'zod'
import { planSchema, readPlan, secretReferencesOf } from '../../shared/plan/index.ts'

const folder = join(import.meta.dirname, '../../examples')
const plans = readdirSync(folder).filter((name) => name.endsWith('.yaml'))

const read = (name: string): string => readFileSync(join(folder, name), 'utf8')

/** The text with the options that are commented out ("#key:", no space) in use. */
function uncomment(text: string): string {
  return text.replace(/^( *)#(?=\S| {2,}\S)/gm, '$1')
}

/** Every key that a plan may have, as a path; list items are `[]`. */
function schemaKeys(schema: z.core.$ZodType, path = ''): string[] {
  if (
    schema instanceof z.ZodNullable ||
    schema instanceof z.ZodDefault ||
    schema instanceof z.ZodPrefault ||
    schema instanceof z.ZodOptional
  ) {
    return schemaKeys(schema.def.innerType, path)
  }
  if (schema instanceof z.ZodArray) return schemaKeys(schema.def.element, `${path}[]`)
  if (!(schema instanceof z.ZodObject)) return []
  return Object.entries(schema.def.shape as Record<string, z.core.$ZodType>).flatMap(([key, child]) => {
    const own = path === '' ? key : `${path}.${key}`
    return [own, ...schemaKeys(child, own)]
  })
}

function writtenKeys(value: unknown, path = ''): string[] {
  if (Array.isArray(value)) return value.flatMap((item: unknown) => writtenKeys(item, `${path}[]`))
  if (typeof value !== 'object' || value === null) return []
  return Object.entries(value).flatMap(([key, item]) => {
    const own = path === '' ? key : `${path}.${key}`
    return [own, ...writtenKeys(item, own)]
  })
}

describe('the example plans', () => {
  it.each(plans)('%s is in order', (name) => {
    const result = readPlan(read(name), name)
    expect(result.ok ? [] : result.problems).toEqual([])
    const expected = name === 'one-node.yaml' ? ['pool.cp-odd'] : []
    expect(result.warnings.map(({ code }) => code)).toEqual(expected)
  })

  it('cover all variants', () => {
    const variants = plans.map((name) => {
      const result = readPlan(read(name), name)
      return result.ok ? result.plan.appliance.variant : undefined
    })
    expect(new Set(variants)).toEqual(new Set(['auto', 'A', 'B', 'C', 'D']))
  })

  it('bring a pack that is a real zstd frame with a tar in it', () => {
    const frame = readFileSync(join(folder, 'packs/practice-pack.tar.zst'))
    expect(frame.subarray(0, 4).toString('hex')).toBe('28b52ffd')
    expect(zstdDecompressSync(frame).subarray(257, 262).toString()).toBe('ustar')
  })
})

describe('three-nodes.yaml', () => {
  const text = read('three-nodes.yaml')
  const full: unknown = parseDocument(uncomment(text), { uniqueKeys: false }).toJS()

  it('names every option that a plan has', () => {
    const written = new Set(writtenKeys(full))
    expect(schemaKeys(planSchema).filter((key) => !written.has(key))).toEqual([])
  })

  it('says something about every option where it first appears', () => {
    const lines = text.split('\n')
    const silent = lines.filter((line, index) => {
      // A section speaks for itself by what is in it; the second of a pair is spoken for by the first.
      const isOption = /^ *#?[ -]*[A-Za-z]+: *\S/.test(line) && !/^ *# \S/.test(line)
      const previous = lines[index - 1] ?? ''
      return isOption && !/^ *# /.test(previous) && !/^ *#  +# /.test(previous)
    })
    const spokenFor = [
      /^ +key: null/,
      /(address|hostName|node|name): (palette-\d|10\.10\.200\.1[23]|n[23])$/,
      /^ +#\s/,
    ]
    expect(silent.filter((line) => !spokenFor.some((rule) => rule.test(line)))).toEqual([])
  })

  it('has options in its comments that are valid too', () => {
    expect(planSchema.safeParse(full).error?.issues ?? []).toEqual([])
  })

  it('needs neither the environment nor an answer', () => {
    const result = readPlan(text, 'three-nodes.yaml')
    if (!result.ok) throw new Error('it is not in order')
    expect(secretReferencesOf(result.plan).map(({ ref }) => Object.keys(ref)[0])).toEqual([
      'generate',
      'generate',
      'generate',
    ])
  })
})
