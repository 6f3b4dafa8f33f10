/** Moray's search filters (moray.md §2.6), from text to a tree of terms. */
import { parse, type ParsedFilter } from 'moray-filter';
import { wellFormed } from './columns';
import { MorayError } from './errors';

/** Text with wildcards: the parts, in their order, with anything between them. */
export interface Pattern {
    /** '' if anything may come first. */
    readonly initial: string;
    readonly any: readonly string[];
    /** '' if anything may come last. */
    readonly final: string;
}

export const RANGE_RULES = ['overlaps', 'contains', 'within'] as const;
export type RangeRule = (typeof RANGE_RULES)[number];

export type Filter =
    | { readonly type: 'and' | 'or'; readonly filters: readonly Filter[] }
    | { readonly type: 'not'; readonly filter: Filter }
    | Term;
export type Term =
    | { readonly type: 'present'; readonly attribute: string }
    | { readonly type: Comparison; readonly attribute: string; readonly value: string }
    | {
          readonly type: 'matches';
          readonly attribute: string;
          readonly pattern: Pattern;
          readonly ignoreCase: boolean;
      }
    | { readonly type: 'equalIgnoringCase'; readonly attribute: string; readonly value: string }
    | { readonly type: RangeRule; readonly attribute: string; readonly value: string };
export type Comparison = 'equal' | 'ge' | 'le';

/** Of a filter, in characters, levels and terms: what is more would be too much for the database's parser as well. */
const LONGEST = 4 * 2 ** 20;
const DEEPEST = 500;
const MOST_TERMS = 5000;

/** Rules by name and number. */
const IGNORE_CASE = ['caseIgnoreMatch', '2.5.13.2'];
const MATCH_IGNORING_CASE = ['caseIgnoreSubstringsMatch', '2.5.13.4'];

/** Why a filter is none; becomes an InvalidQueryError. */
class Fault extends Error {}

/** @throws MorayError InvalidQueryError */
export function parseFilter(text: string): Filter {
    if (typeof (text as unknown) !== 'string') {
        throw invalid('', 'must be a string');
    }
    if (text.length > LONGEST) {
        throw invalid(text, `is longer than ${LONGEST} characters`);
    }
    let parsed: ParsedFilter;
    try {
        parsed = parse(wellFormed(text));
    } catch (error) {
        const reason =
            error instanceof RangeError
                ? 'is nested too deeply'
                : `cannot be read: ${error instanceof Error ? error.message : String(error)}`;
        throw invalid(text, reason, error);
    }
    try {
        return convert(parsed, 1, { terms: 0 });
    } catch (error) {
        throw error instanceof Fault ? invalid(text, error.message) : error;
    }
}

/** @param reason completes a sentence that begins with the filter */
export function invalid(text: string, reason: string, cause?: unknown): MorayError {
    return new MorayError('InvalidQueryError', `The filter ${excerpt(text)} ${reason}`, { cause });
}

export function excerpt(text: string): string {
    return text.length > 200 ? `${text.slice(0, 200)}…` : text;
}

function convert(parsed: ParsedFilter, depth: number, seen: { terms: number }): Filter {
    if (depth > DEEPEST) {
        throw new Fault(`is nested more than ${DEEPEST} levels deep`);
    }
    switch (parsed.type) {
        case 'and':
        case 'or':
            return {
                type: parsed.type,
                filters: parsed.filters.map((one) => convert(one, depth + 1, seen)),
            };
        case 'not':
            return { type: 'not', filter: convert(parsed.filter, depth + 1, seen) };
        default:
            if (++seen.terms > MOST_TERMS) {
                throw new Fault(`has more than ${MOST_TERMS} terms`);
            }
            return toTerm(parsed);
    }
}

type ParsedTerm = Extract<ParsedFilter, { readonly attribute: string }>;

function toTerm(parsed: ParsedTerm): Term {
    const { attribute } = parsed;
    if (attribute === '') {
        throw new Fault('has a term without an attribute');
    }
    if (attribute === '_idx') {
        throw new Fault('asks for _idx, which cannot be searched; its values are those of _id');
    }
    switch (parsed.type) {
        case 'present':
            return { type: 'present', attribute };
        case 'equal':
        case 'ge':
        case 'le':
            return { type: parsed.type, attribute, value: storable(parsed.value) };
        case 'substring':
            return { type: 'matches', attribute, pattern: patternOf(parsed), ignoreCase: false };
        case 'ext':
            return toExtendedTerm(parsed);
        default:
            throw new Fault('has a term with "~=", which is not supported');
    }
}

function toExtendedTerm(parsed: Extract<ParsedTerm, { readonly type: 'ext' }>): Term {
    const { attribute, rule = '', value, initial, any, final } = parsed;
    const range = RANGE_RULES.find((one) => one === rule);
    if (range) {
        return { type: range, attribute, value: storable(value) };
    }
    if (IGNORE_CASE.includes(rule)) {
        return { type: 'equalIgnoringCase', attribute, value: storable(value) };
    }
    if (MATCH_IGNORING_CASE.includes(rule)) {
        // Without a wildcard the rule compares the whole text.
        return any
            ? { type: 'matches', attribute, pattern: patternOf({ initial, any, final }), ignoreCase: true }
            : { type: 'equalIgnoringCase', attribute, value: storable(value) };
    }
    throw new Fault(`has a term with the rule "${excerpt(rule)}", which is not supported`);
}

function patternOf(parsed: {
    initial?: string | undefined;
    any: readonly string[];
    final?: string | undefined;
}): Pattern {
    return {
        initial: storable(parsed.initial ?? ''),
        any: parsed.any.map(storable).filter((part) => part !== ''),
        final: storable(parsed.final ?? ''),
    };
}

function storable(value: string): string {
    if (value.includes('\0')) {
        throw new Fault('has the character U+0000, which PostgreSQL cannot store');
    }
    return value;
}
