/** Why a step is told to end before it is done. */

/** canceled: by a caller. stopped: the process stops. lost: another process has taken the job over, or may have. */
export type InterruptionKind = 'canceled' | 'stopped' | 'lost';

const MESSAGES: Record<InterruptionKind, string> = {
    canceled: 'The job was canceled.',
    stopped: 'The server is stopping; the job goes on when it starts again.',
    lost: 'The job has been taken over by another process.',
};

export class Interruption extends Error {
    override readonly name = 'Interruption';
    constructor(readonly kind: InterruptionKind) {
        super(MESSAGES[kind]);
    }
}
