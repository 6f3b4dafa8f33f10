const QUOTE = 0x22;
const BACKSLASH = 0x5c;

/**
 * How deep a JSON text nests arrays and objects. A text that is no JSON gets some number.
 *
 * Looked at before a body is parsed: everything that later walks the value, JSON.stringify among it, does so by
 * calling itself, and a few kilobytes of brackets would overflow the stack of the process.
 */
export function nesting(json: string): number {
    let depth = 0;
    let deepest = 0;
    let inText = false;
    for (let at = 0; at < json.length; at++) {
        const char = json.charCodeAt(at);
        if (char === QUOTE) {
            inText = !inText;
        } else if (char === BACKSLASH) {
            at++;
        } else if (!inText) {
            // "[" and "{" are 0x5b and 0x7b, "]" and "}" 0x5d and 0x7d.
            const bracket = char & ~0x20;
            if (bracket === 0x5b) {
                deepest = Math.max(deepest, ++depth);
            } else if (bracket === 0x5d) {
                depth--;
            }
        }
    }
    return deepest;
}
