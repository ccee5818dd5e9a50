import ts from 'typescript'
import { projectFiles } from './project-files.ts'

/** Sources of the product that an operator can get an error from: no tests, no helpers of tests. */
export function productSources(): string[] {
  return [...projectFiles('main', '.ts'), ...projectFiles('shared', '.ts')].filter(
    (file) => !file.endsWith('.test.ts') && !file.includes('/testing/'),
  )
}

/** As `appErrorDataSchema` wants it; codes of the operating system (`ECONNRESET`) look alike and are told apart below. */
const appErrorCode = /^[A-Z][A-Z0-9_]*$/u

/**
 * The codes of `AppError`s in a source, read from its syntax tree: properties named `code` with a literal, with a choice
 * of literals, or with the parameter of a helper, whose calls are then looked at.
 * Throws at an error whose code cannot be read: it would stay undocumented without anybody noticing.
 */
export function codesInSource(fileName: string, text: string): string[] {
  const source = ts.createSourceFile(fileName, text, ts.ScriptTarget.ESNext, true)
  const codes: string[] = []

  const unreadable = (node: ts.Node): Error => {
    const { line } = source.getLineAndCharacterOfPosition(node.getStart(source))
    return new Error(
      `${fileName}:${line + 1}: the code of this error cannot be read: ${node.getText(source)}`,
    )
  }

  const literalsOf = (expression: ts.Expression): string[] | undefined => {
    if (ts.isStringLiteralLike(expression)) return [expression.text]
    if (!ts.isConditionalExpression(expression)) return undefined
    const branches = [literalsOf(expression.whenTrue), literalsOf(expression.whenFalse)]
    return branches.every((branch) => branch !== undefined) ? branches.flat() : undefined
  }

  const visit = (node: ts.Node): void => {
    if (ts.isPropertyAssignment(node) && node.name.getText(source) === 'code') {
      const literals = literalsOf(node.initializer)
      if (literals !== undefined) {
        if (!isSystemError(node.parent)) codes.push(...literals.filter((code) => appErrorCode.test(code)))
      } else if (isArgumentOfAppError(node.parent) && !ts.isPropertyAccessExpression(node.initializer)) {
        // `entry.code` comes out of a table, whose literals are found where it is written.
        throw unreadable(node)
      }
    }
    if (
      ts.isShorthandPropertyAssignment(node) &&
      node.name.text === 'code' &&
      isArgumentOfAppError(node.parent)
    ) {
      const helper = helperAround(node)
      if (helper === undefined) throw unreadable(node)
      codes.push(...codesOfCalls(helper))
    }
    ts.forEachChild(node, visit)
  }

  const codesOfCalls = (helper: { name: string; position: number }): string[] => {
    const found: string[] = []
    const look = (node: ts.Node): void => {
      if (ts.isCallExpression(node) && node.expression.getText(source) === helper.name) {
        const argument = node.arguments[helper.position]
        const literals = argument === undefined ? undefined : literalsOf(argument)
        if (literals === undefined) throw unreadable(node)
        found.push(...literals)
      }
      ts.forEachChild(node, look)
    }
    look(source)
    return found
  }

  visit(source)
  return [...new Set(codes)]
}

/** `Object.assign(new Error(…), { code: 'ETIMEDOUT' })`: an error as the operating system would give it. */
function isSystemError(object: ts.Node): boolean {
  return (
    ts.isCallExpression(object.parent) &&
    ts.isPropertyAccessExpression(object.parent.expression) &&
    object.parent.expression.name.text === 'assign'
  )
}

function isArgumentOfAppError(object: ts.Node): boolean {
  const { parent } = object
  return (
    ts.isNewExpression(parent) && ts.isIdentifier(parent.expression) && parent.expression.text === 'AppError'
  )
}

/** The nearest function around a node that has a parameter `code`, with its name. */
function helperAround(node: ts.Node): { name: string; position: number } | undefined {
  for (let current = node.parent; !ts.isSourceFile(current); current = current.parent) {
    if (!ts.isArrowFunction(current) && !ts.isFunctionDeclaration(current)) continue
    const position = current.parameters.findIndex(
      (parameter) => ts.isIdentifier(parameter.name) && parameter.name.text === 'code',
    )
    if (position === -1) continue
    if (ts.isFunctionDeclaration(current)) {
      return current.name === undefined ? undefined : { name: current.name.text, position }
    }
    const { parent } = current
    return ts.isVariableDeclaration(parent) && ts.isIdentifier(parent.name)
      ? { name: parent.name.text, position }
      : undefined
  }
  return undefined
}
