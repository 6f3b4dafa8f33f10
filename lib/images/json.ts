/** Small tools for values that came as JSON and may be anything. None of them throws on any JSON value. */

/** A JSON object of which nothing else is known yet. */
export type JsonObject = Readonly<Record<string, unknown>>;

/** Deepest nesting of arrays and objects within one field. Beyond it even writing the value as JSON may fail. */
export const MAX_DEPTH = 100;

const SHOWN_CHARACTERS = 120;
/** A value nested deeper than this is not worth printing. */
const SHOWN_DEPTH = 20;

/** True for a JSON object; arrays and null are none. */
export function isObject(value: unknown): value is JsonObject {
    return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Whether arrays and objects are nested in each other more than `depth` levels deep. */
export function isNestedDeeper(value: unknown, depth: number): boolean {
    if (typeof value !== 'object' || value === null) {
        return false;
    }
    return depth === 0 || Object.values(value).some((inner) => isNestedDeeper(inner, depth - 1));
}

/** The value as a message shows it: compact JSON, cut after some characters. */
export function show(value: unknown): string {
    // JSON has no form for these; a message about NaN must not say null.
    if (value === undefined || typeof value === 'number') {
        return String(value);
    }
    if (isNestedDeeper(value, SHOWN_DEPTH)) {
        return 'a deeply nested value';
    }
    const text = JSON.stringify(value);
    return text.length > SHOWN_CHARACTERS ? `${text.slice(0, SHOWN_CHARACTERS)}…` : text;
}

/** What `Number` makes of it; NaN for arrays and objects, whose conversion could run into members of the client's. */
export function toNumber(value: unknown): number {
    return typeof value === 'object' && value !== null ? NaN : Number(value);
}

/** The boolean, also when given as the string 'true' or 'false'; undefined for anything else. */
export function toBoolean(value: unknown): boolean | undefined {
    if (value === true || value === 'true') {
        return true;
    }
    return value === false || value === 'false' ? false : undefined;
}

/** Whether a string has a NUL, which PostgreSQL cannot keep in a text column. */
export function hasNul(text: string): boolean {
    return text.includes('\0');
}
