/**
 * The boundaries between the steps that make a change durable, as `<operation>:<step>`: the places at which a test
 * makes the process die, to prove that a crash there loses nothing.
 *
 * `test/crash` iterates over all of them and fails if an operation never reaches one.
 */
export const faultPoints = [
    /** A storage receives an object: its file is made, has all bytes, is on disk. */
    'stage:created',
    'stage:written',
    'stage:synced',
    /** … gets its final name, and the name is on disk. */
    'stage:renamed',
    'stage:committed',
    /** A storage copies an object: the bytes are on disk under a name of their own, then under the final one. */
    'copy:written',
    'copy:renamed',
    'copy:committed',
    /** A storage deletes an object: its file is gone, its folder may still be there. */
    'remove:unlinked',

    /** An upload: the object's row is written, its bytes are staged, the object is made. */
    'upload:pending',
    'upload:staged',
    'upload:committed',
    /** A manifest is archived: the row of its unfinished file is written. */
    'archive:pending',
    /** A record is saved: archived, then written. */
    'save:archived',
    'save:committed',
    /** Objects are copied for another image: the row of a copy is written, the copy is made. */
    'duplicate:pending',
    'duplicate:copied',
    /** A file is moved into another storage: the record is written. */
    'relocate:committed',
    /** An image gets another uuid: archived, then written. */
    'move:archived',
    'move:committed',
    /** An image is cloned, with its origins: all archived, then all written. */
    'clone:archived',
    'clone:committed',
    /** A placeholder is found to have expired. */
    'purge:judged',
    /** An image is deleted: its record is gone. */
    'delete:committed',
    /** An object that no record refers to is deleted: its bytes are gone, then its row. */
    'dispose:deleted',
    'dispose:forgotten',

    /** An archived manifest is moved to the object store: taken out of the way, stored there, gone here. */
    'ship:taken',
    'ship:stored',
    'ship:removed',

    /** A job: its row is written; an attempt at a step is counted, the step is done, its result is written. */
    'job:created',
    'job:begun',
    'job:done',
    'job:recorded',
    /** A job is canceled: its row says so. */
    'job:canceled',
] as const;

export type FaultPoint = (typeof faultPoints)[number];

let fault: ((point: FaultPoint) => void) | undefined;

/** Has `act` called at every point. Nothing in the product does this: `test/support/arm-fault.ts`, preloaded, does. */
export function armFault(act: (point: FaultPoint) => void): void {
    fault = act;
}

/** Marks that a step is done and the next has not begun. */
export function faultPoint(point: FaultPoint): void {
    fault?.(point);
}
