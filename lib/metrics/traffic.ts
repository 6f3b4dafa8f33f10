/** What goes through this process. Plain numbers, because every chunk of every transfer is counted. */
export class Traffic {
    /** Requests that are being answered. */
    requests = 0;
    /** Bytes of bodies. */
    received = 0;
    sent = 0;
    /** Bodies that are being received, and answers that are being sent, piece by piece. */
    uploads = 0;
    downloads = 0;
}
