// Comfort for the Developer page. Every action works without it.
"use strict";

(() => {
  const all = (selector, root = document) => Array.from(root.querySelectorAll(selector));

  // Tell screen readers what happened, where a page has a place for it.
  const say = (text) => all("[data-said]").forEach((place) => { place.textContent = text; });

  // Copy buttons. Without the clipboard's permission the text is selected, to be
  // copied by hand.
  all("[data-copy]").forEach((button) => {
    const field = document.getElementById(button.dataset.copy);
    const label = button.textContent;
    button.hidden = false;
    button.addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(field.value);
        button.textContent = "Copied";
        say("Copied to the clipboard.");
      } catch {
        field.focus();
        field.select();
        button.textContent = "Press Ctrl+C";
        say("Selected. Copy it with the keyboard.");
      }
      setTimeout(() => { button.textContent = label; }, 2500);
    });
  });
  all("[data-select]").forEach((field) => field.addEventListener("focus", () => field.select()));

  // Menus and the pencil: one is open at a time, Escape and a click elsewhere
  // close it, and what is opened has the focus. The pencil's form comes after it.
  const form = (p) => p.nextElementSibling;
  const popups = all("details[data-popup]");
  const close = (except) => popups.forEach((p) => { if (p !== except) p.open = false; });
  popups.forEach((p) => p.addEventListener("toggle", () => {
    if (!p.open) return;
    close(p);
    const field = form(p)?.querySelector("input:not([type=hidden])");
    if (field) { field.focus(); field.select(); }
  }));
  document.addEventListener("click", (event) => {
    if (!event.target.closest("details[data-popup], .renaming")) close();
  });
  document.addEventListener("keydown", (event) => {
    const open = popups.find((p) => p.open);
    if (!open) return;
    if (event.key === "Escape") {
      open.open = false;
      open.querySelector("summary").focus();
      return;
    }
    const items = all(".item", open);
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step || !items.length) return;
    event.preventDefault();
    const at = items.indexOf(document.activeElement);
    items[(at + step + items.length + (at < 0 && step < 0 ? 1 : 0)) % items.length].focus();
  });

  // What was typed to confirm opens the button.
  all("[data-confirm]").forEach((field) => {
    const button = field.form.querySelector(".submit button");
    const check = () => {
      const matches = field.value.trim() === field.dataset.confirm;
      button.setAttribute("aria-disabled", String(!matches));
      button.classList.toggle("waiting", !matches);
    };
    field.addEventListener("input", check);
    check();
  });

  // Who a key is issued to matters for user levels, a date for one choice only.
  const reveal = (root, part, wanted) => {
    const place = root.querySelector(part);
    if (!place) return;
    const update = () => { place.hidden = !wanted(root); };
    root.addEventListener("change", update);
    update();
  };
  all("[data-levels]").forEach((f) => reveal(f, "[data-owner]", (root) => root.querySelector("[data-for-user]:checked") !== null));
  all("[data-ends]").forEach((f) => reveal(f, "[data-date]", (root) => root.querySelector("input[value=date]:checked") !== null));

  // Live counters.
  all("[data-counter]").forEach((field) => {
    const place = document.getElementById(field.dataset.counter);
    const count = () => {
      const left = field.maxLength - field.value.length;
      place.textContent = left <= 20 ? `${left} characters left.` : "";
    };
    field.addEventListener("input", count);
    count();
  });
  all("[data-scopes]").forEach((root) => {
    const boxes = all("input[type=checkbox]", root);
    const count = () => {
      root.querySelector("[data-chosen]").textContent = `${boxes.filter((b) => b.checked).length} of ${boxes.length} chosen.`;
    };
    root.addEventListener("change", count);
    all("button[name=preset]", root).forEach((button) => button.addEventListener("click", (event) => {
      event.preventDefault();
      boxes.forEach((b) => { b.checked = button.value === "all" || button.value === "read" && b.value.endsWith(":read"); });
      count();
    }));
    count();
  });

  // A form is sent once, and says that it is on its way.
  all("[data-form]").forEach((form) => form.addEventListener("submit", (event) => {
    if (form.dataset.sent) { event.preventDefault(); return; }
    const waiting = form.querySelector(".waiting");
    if (waiting && event.submitter === waiting) {
      event.preventDefault();
      form.querySelector("[data-confirm]").focus();
      return;
    }
    form.dataset.sent = "yes";
    form.setAttribute("aria-busy", "true");
    all(".submit button", form).forEach((b) => { b.classList.add("busy"); });
  }));
  // Back from the browser's memory: the form may be sent again.
  window.addEventListener("pageshow", () => all("[data-form]").forEach((form) => {
    delete form.dataset.sent;
    form.removeAttribute("aria-busy");
    all(".busy", form).forEach((b) => b.classList.remove("busy"));
  }));

  // Where tabs don't fit, the current one is in sight.
  all("nav [aria-current]").forEach((tab) => {
    const nav = tab.closest("nav"), beyond = tab.getBoundingClientRect().right - nav.getBoundingClientRect().right;
    if (beyond > 0) nav.scrollLeft += beyond + 24;
  });

  // What went wrong is read first.
  const problem = document.querySelector("[data-focus]");
  if (problem) problem.focus();
})();
