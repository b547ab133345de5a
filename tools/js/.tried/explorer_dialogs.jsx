// The explorer's questions: a name for something, and whether it may go.
import { useEffect, useRef, useState } from "react";
import { AlertDialog, Button, Dialog, TextField } from "@radix-ui/themes";

// `asked` is null or `{title, label, hint, verb, initial, select?, act(name)}`; `act` may throw a sentence.
export function NameDialog({ asked, onClose }) {
  const [name, setName] = useState("");
  const [error, setError] = useState("");
  const busy = useRef(false);
  const touched = useRef(false);

  useEffect(() => {
    touched.current = false;
    setName(asked?.initial ?? "");
    setError("");
  }, [asked]);

  const submit = async (event) => {
    event.preventDefault();
    const wanted = name.trim().replace(/\/+$/, "");
    if (busy.current) return;
    if (!wanted) return setError("It needs a name.");
    busy.current = true;
    try {
      await asked.act(wanted);
      onClose();
    } catch (refusal) {
      setError(refusal.message);
    } finally {
      busy.current = false;
    }
  };

  // The name without its ending, which is what people change.
  const select = (event) => {
    if (touched.current) return;
    const dot = event.target.value.lastIndexOf(".");
    event.target.setSelectionRange(0, dot > 0 ? dot : event.target.value.length);
  };

  return (
    <Dialog.Root open={Boolean(asked)} onOpenChange={(open) => open || onClose()}>
      <Dialog.Content maxWidth="440px" aria-describedby={undefined}>
        <Dialog.Title size="4">{asked?.title}</Dialog.Title>
        <form onSubmit={submit}>
          <label className="v-field">
            <span className="v-label-text">{asked?.label}</span>
            <TextField.Root
              size="3"
              value={name}
              autoFocus
              autoComplete="off"
              spellCheck={false}
              aria-invalid={error ? true : undefined}
              onFocus={select}
              onChange={(event) => {
                touched.current = true;
                setName(event.target.value);
                setError("");
              }}
            />
            <span className="v-hint">{asked?.hint}</span>
          </label>
          {error && (
            <p className="v-error" role="alert">
              {error}
            </p>
          )}
          <div className="v-row v-end">
            <Dialog.Close>
              <Button type="button" variant="soft" color="gray">
                Cancel
              </Button>
            </Dialog.Close>
            <Button type="submit">{asked?.verb}</Button>
          </div>
        </form>
      </Dialog.Content>
    </Dialog.Root>
  );
}

// `asked` is null or `{title, text, verb, act(), cancel?()}`.
export function Ask({ asked, onClose }) {
  const answered = useRef(false);
  useEffect(() => {
    answered.current = false;
  }, [asked]);
  // The button that agrees closes the dialog, too.
  const close = () => {
    if (!answered.current) asked?.cancel?.();
    onClose();
  };
  return (
    <AlertDialog.Root open={Boolean(asked)} onOpenChange={(open) => open || close()}>
      <AlertDialog.Content maxWidth="440px">
        <AlertDialog.Title size="4">{asked?.title}</AlertDialog.Title>
        <AlertDialog.Description size="2">{asked?.text}</AlertDialog.Description>
        <div className="v-row v-end">
          <AlertDialog.Cancel>
            <Button variant="soft" color="gray">
              {asked?.stay ?? "Cancel"}
            </Button>
          </AlertDialog.Cancel>
          <AlertDialog.Action>
            <Button
              color="red"
              onClick={() => {
                if (answered.current) return;
                answered.current = true;
                asked.act();
              }}
            >
              {asked?.verb}
            </Button>
          </AlertDialog.Action>
        </div>
      </AlertDialog.Content>
    </AlertDialog.Root>
  );
}
