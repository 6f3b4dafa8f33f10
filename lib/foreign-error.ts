/** What other servers say went wrong, made fit for messages and logs of ours. */

/** What is shown of the code and the message of another server, in characters. */
const LONGEST_CODE = 64;
const LONGEST_MESSAGE = 512;

/** Text of another server that is fit for a message of ours; undefined if none is left. */
function presentable(value: unknown, longest: number): string | undefined {
    if (typeof value !== 'string') {
        return undefined;
    }
    const text = value
        .slice(0, 4 * longest)
        .replace(/[\p{C}\p{Z}]+/gu, ' ')
        .trim();
    if (text.length <= longest) {
        return text === '' ? undefined : text;
    }
    // By characters, so that none is cut in half.
    return `${Array.from(text).slice(0, longest).join('')}…`;
}

/** The error that a body `{code, message}` tells of; undefined if it is none of that form. */
export function foreignError(body: unknown): { code: string; message: string } | undefined {
    const { code: givenCode, message: givenMessage } = (body ?? {}) as { code?: unknown; message?: unknown };
    const code = presentable(givenCode, LONGEST_CODE);
    return code === undefined
        ? undefined
        : { code, message: presentable(givenMessage, LONGEST_MESSAGE) ?? code };
}
