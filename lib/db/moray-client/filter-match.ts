/** Filters decided on objects in memory: what SQL left open of them (moray.md §2.6). */
import { columnType, fromColumn, scalarText } from './columns';
import { fieldsOf } from './fields';
import type { Comparison, Filter, Pattern, Term } from './filter';
import type { Bucket, IndexType, MorayObject } from './types';

/** Undefined is: only PostgreSQL can tell. */
type Verdict = boolean | undefined;

/** Types that PostgreSQL alone compares: it knows their order, and that several spellings are one value. */
const COMPARED_BY_DATABASE: readonly IndexType[] = ['ip', 'subnet', 'mac', 'date', 'numrange', 'daterange'];

export function isComparedByDatabase(type: IndexType): boolean {
    return COMPARED_BY_DATABASE.includes(columnType(type).element ?? type);
}

/** Whether nothing about the object speaks against the filter. */
export function mayMatch(filter: Filter, object: MorayObject, bucket: Bucket): boolean {
    return decide(filter, object, bucket) !== false;
}

function decide(filter: Filter, object: MorayObject, bucket: Bucket): Verdict {
    switch (filter.type) {
        case 'and':
        case 'or': {
            const decisive = filter.type === 'or';
            let isOpen = false;
            for (const one of filter.filters) {
                const verdict = decide(one, object, bucket);
                if (verdict === decisive) {
                    return decisive;
                }
                isOpen ||= verdict === undefined;
            }
            return isOpen ? undefined : !decisive;
        }
        case 'not': {
            const verdict = decide(filter.filter, object, bucket);
            return verdict === undefined ? undefined : !verdict;
        }
        default:
            return decideTerm(filter, object, bucket);
    }
}

function decideTerm(term: Term, object: MorayObject, bucket: Bucket): Verdict {
    const field = fieldsOf(bucket).get(term.attribute);
    const internal = internalAttribute(term.attribute, object);
    const content = internal ? internal.content : attributeOf(object.value, term.attribute);
    const type = internal?.type ?? field?.type;
    const isSearched = internal !== undefined || (field !== undefined && field.exists && !field.isReindexing);
    const contents: readonly unknown[] = Array.isArray(content) ? content : [content];
    switch (term.type) {
        case 'present':
            return content !== undefined && content !== null;
        case 'equal':
        case 'ge':
        case 'le':
            if (type !== undefined && isSearched && isComparedByDatabase(type)) {
                return undefined;
            }
            return contents.some((one) => compares(term.type, term.value, one, type));
        case 'matches':
            return contents.some((one) => one != null && isLike(textOf(one), term.pattern, term.ignoreCase));
        case 'equalIgnoringCase':
            return contents.some(
                (one) => typeof one === 'string' && one.toLowerCase() === term.value.toLowerCase(),
            );
        default:
            return undefined;
    }
}

export function internalAttribute(
    attribute: string,
    object?: MorayObject,
): { readonly type: IndexType; readonly content: unknown } | undefined {
    switch (attribute) {
        case '_id':
            return { type: 'number', content: object?._id };
        case '_mtime':
            return { type: 'number', content: object?._mtime };
        case '_txn_snap':
            return { type: 'number', content: object?._txn_snap };
        case '_etag':
            return { type: 'string', content: object?._etag };
        case '_key':
            return { type: 'string', content: object?.key };
        default:
            return undefined;
    }
}

/** Attributes are found in any spelling of upper and lower case; an exact one counts first. */
function attributeOf(value: MorayObject['value'], attribute: string): unknown {
    if (Object.hasOwn(value, attribute)) {
        return value[attribute];
    }
    const lower = attribute.toLowerCase();
    const name = Object.keys(value).find((key) => key.toLowerCase() === lower);
    return name === undefined ? undefined : value[name];
}

/**
 * Compares as the column would, for a field that has one. Otherwise equality is that of JavaScript, with texts only, and
 * what is no text is compared by number.
 */
function compares(how: Comparison, wanted: string, content: unknown, type: IndexType | undefined): boolean {
    if (content === undefined || content === null) {
        return false;
    }
    const [left, right] = type === undefined ? untyped(how, wanted, content) : typed(wanted, content, type);
    if (how === 'equal') {
        return left === right;
    }
    const order =
        typeof left === 'string' && typeof right === 'string'
            ? compareTexts(left, right)
            : Number(left) - Number(right);
    // Of what is no number, nothing is true.
    return how === 'ge' ? order >= 0 : order <= 0;
}

function untyped(how: Comparison, wanted: string, content: unknown): [unknown, unknown] {
    return typeof content === 'string' || how === 'equal'
        ? [content, wanted]
        : [Number(content), Number(wanted)];
}

function typed(wanted: string, content: unknown, type: IndexType): [unknown, unknown] {
    const element = columnType(type).element ?? type;
    try {
        return [
            fromColumn(element, scalarText(element, content)),
            fromColumn(element, scalarText(element, wanted)),
        ];
    } catch {
        // It is not of the type that it should be, so it can only be the same by its text.
        return [textOf(content), wanted];
    }
}

function textOf(content: unknown): string {
    return typeof content === 'string' ? content : JSON.stringify(content);
}

/** In the order of their UTF-8 bytes, which is that of their code points. */
export function compareTexts(left: string, right: string): number {
    return Buffer.compare(Buffer.from(left), Buffer.from(right));
}

function isLike(text: string, { initial, any, final }: Pattern, ignoreCase: boolean): boolean {
    const fold = (one: string): string => (ignoreCase ? one.toLowerCase() : one);
    const folded = fold(text);
    if (!folded.startsWith(fold(initial))) {
        return false;
    }
    let at = fold(initial).length;
    for (const part of any.map(fold)) {
        const found = folded.indexOf(part, at);
        if (found < 0) {
            return false;
        }
        at = found + part.length;
    }
    return folded.length - fold(final).length >= at && folded.endsWith(fold(final));
}
